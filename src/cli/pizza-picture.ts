import { crc32, deflateSync } from "node:zlib";

type Colour = readonly [red: number, green: number, blue: number];

/** What lies on a pizza: the colours of its sauce and of its two toppings. */
export interface Topping {
  sauce: Colour;
  large: Colour;
  small: Colour;
}

const SIDE = 192;
const PLATE: Colour = [250, 246, 238];
const CRUST: Colour = [205, 146, 78];

/** A pizza from above, 192 by 192 pixels: the same bytes for the same toppings. @returns a PNG */
export function pizzaPicture(topping: Topping): Buffer {
  const rows = Buffer.alloc(SIDE * (1 + SIDE * 3));
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) {
      // The first byte of a row is its filter: none.
      rows.set(colourAt(x - SIDE / 2, y - SIDE / 2, topping), y * (1 + SIDE * 3) + 1 + x * 3);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(SIDE, 0);
  header.writeUInt32BE(SIDE, 4);
  // Eight bits a sample, red, green and blue (PNG, third edition, 11.2.1).
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function colourAt(x: number, y: number, { sauce, large, small }: Topping): Colour {
  const radius = Math.hypot(x, y);
  if (radius > 88) return PLATE;
  if (radius > 76) return CRUST;
  if (isWithin(x, y, 48, 6, 15) || radius < 13) return large;
  return isWithin(x, y, 62, 11, 5) || isWithin(x, y, 27, 7, 5) ? small : sauce;
}

/** Whether a point is in one of the `count` discs of a size that lie in a ring about the middle. */
function isWithin(x: number, y: number, ring: number, count: number, size: number): boolean {
  const step = (2 * Math.PI) / count;
  const angle = Math.round(Math.atan2(y, x) / step) * step;
  return Math.hypot(x - ring * Math.cos(angle), y - ring * Math.sin(angle)) < size;
}

function chunk(name: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const whole = Buffer.alloc(named.length + 8);
  whole.writeUInt32BE(data.length, 0);
  whole.set(named, 4);
  whole.writeUInt32BE(crc32(named), named.length + 4);
  return whole;
}
