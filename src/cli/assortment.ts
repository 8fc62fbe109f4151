import { menu, pizzaNames, type PizzaName } from "./menu.ts";
import { pizzaPicture, type Topping } from "./pizza-picture.ts";

/** Pieces that a new product has on its shelf. */
const PIECES = 1_000;

const red = [196, 58, 38] as const;

/** What the menu leaves to the eye. */
const shown: Readonly<Record<PizzaName, { description: string; topping: Topping }>> = {
  "mango-tango": {
    description: "Ripe mango, mild chilli and coriander on tomato sauce.",
    topping: { sauce: red, large: [255, 179, 44], small: [86, 148, 66] },
  },
  "banana-curry": {
    description: "Banana slices and roasted cashews on a creamy curry sauce.",
    topping: { sauce: [226, 170, 52], large: [255, 236, 160], small: [160, 104, 56] },
  },
  "coconut-dream": {
    description: "Coconut flakes, pineapple and lime on a white sauce.",
    topping: { sauce: [244, 232, 204], large: [255, 213, 70], small: [128, 178, 72] },
  },
  "papaya-picante": {
    description: "Papaya, jalapeños and red onion on a hot tomato sauce.",
    topping: { sauce: [168, 36, 28], large: [255, 138, 76], small: [60, 120, 52] },
  },
};

/**
 * Puts the pizzas of the menu into a shop's catalog, each with a picture and a thousand pieces; what is there
 * already, picture and all, is left as it is. May be said again, also where it was interrupted.
 *
 * @param url the shop's gateway
 * @param staffToken of a service or an operator
 * @throws Error naming the request that was refused
 */
export async function stockTheShop(url: string, staffToken: string): Promise<void> {
  const call = async (method: string, path: string, body?: object): Promise<Response> => {
    const isBytes = body instanceof Uint8Array;
    const response = await fetch(new URL(`/api/catalog/products/${path}`, url), {
      method,
      headers: {
        Authorization: `Bearer ${staffToken}`,
        ...(body === undefined
          ? {}
          : { "Content-Type": isBytes ? "image/png" : "application/json" }),
      },
      ...(body === undefined
        ? {}
        : { body: isBytes ? new Uint8Array(body) : JSON.stringify(body) }),
    });
    if (response.ok || (method === "GET" && response.status === 404)) return response;
    throw new Error(`${method} ${response.url} is ${response.status}: ${await response.text()}`);
  };
  await Promise.all(
    pizzaNames.map(async (id) => {
      const found = await call("GET", id);
      const { picture } = (await found.json()) as { picture?: string | null };
      // It comes last: with it, the rest is there.
      if (typeof picture === "string") return;
      const { name, price } = menu[id];
      const { description, topping } = shown[id];
      await call("PUT", id, { name, description, price });
      const { onHand } = (await (await call("GET", `${id}/stock`)).json()) as { onHand: number };
      if (onHand === 0) await call("PUT", `${id}/stock`, { onHand: PIECES });
      await call("PUT", `${id}/picture`, pizzaPicture(topping));
    }),
  );
}
