/** What Tropical Pizza bakes. Prices are integers in the currency's minor unit (cents). */
export const menu = {
  "mango-tango": { name: "Mango Tango", price: { amount: 1190, currency: "EUR" } },
  "banana-curry": { name: "Banana Curry", price: { amount: 1090, currency: "EUR" } },
  "coconut-dream": { name: "Coconut Dream", price: { amount: 1290, currency: "EUR" } },
  "papaya-picante": { name: "Papaya Picante", price: { amount: 1250, currency: "EUR" } },
} as const;

export type PizzaName = keyof typeof menu;

export const pizzaNames = Object.keys(menu) as PizzaName[];
