import { encode } from "fast-png";

type Colour = readonly [red: number, green: number, blue: number];

/** Pixels of a side, of a cell, and of the margin around the cells. */
export const SIDE = 256;
const CELL = 32;
const MARGIN = 16;
/** Cells of a side. */
const CELLS = 7;

/** What a fruit looks like: its ground, its flesh and its rind. */
const fruits: readonly (readonly [ground: Colour, flesh: Colour, rind: Colour])[] = [
  [
    [255, 244, 222],
    [255, 167, 38],
    [230, 81, 0],
  ], // mango
  [
    [255, 236, 239],
    [239, 83, 105],
    [46, 125, 50],
  ], // watermelon
  [
    [255, 249, 219],
    [253, 216, 53],
    [121, 85, 72],
  ], // banana
  [
    [237, 247, 228],
    [139, 195, 74],
    [93, 64, 55],
  ], // kiwi
  [
    [252, 228, 240],
    [216, 27, 96],
    [74, 20, 140],
  ], // dragon fruit
  [
    [255, 243, 224],
    [251, 140, 0],
    [56, 142, 60],
  ], // papaya
  [
    [243, 236, 252],
    [126, 87, 194],
    [69, 39, 160],
  ], // passion fruit
  [
    [255, 235, 230],
    [255, 112, 67],
    [191, 54, 12],
  ], // guava
];

/**
 * A user's picture, 256 by 256 pixels: the same bytes for the same id, and another for nearly every other.
 *
 * @returns a PNG
 */
export async function drawAvatar(subject: string): Promise<Uint8Array> {
  return encode({ width: SIDE, height: SIDE, channels: 3, data: await pixelsOf(subject) });
}

/** Three bytes a pixel, row after row. The left half is the right one's mirror image. */
export async function pixelsOf(subject: string): Promise<Uint8Array> {
  const bytes = new TextEncoder().encode(subject);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const fruit = fruits[digest[0]! % fruits.length]!;
  const pixels = new Uint8Array(SIDE * SIDE * 3);
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) {
      pixels.set(fruit[layerAt(x, y, digest)]!, (y * SIDE + x) * 3);
    }
  }
  return pixels;
}

/** 0 for the ground, 1 for the flesh, 2 for the rind. */
function layerAt(x: number, y: number, digest: Uint8Array): 0 | 1 | 2 {
  const column = Math.floor((x - MARGIN) / CELL);
  const row = Math.floor((y - MARGIN) / CELL);
  if (column < 0 || row < 0 || column >= CELLS || row >= CELLS) return 0;
  const cell = row * Math.ceil(CELLS / 2) + Math.min(column, CELLS - 1 - column);
  // A byte a cell, after the one that says which fruit it is: half are ground, a third flesh.
  const byte = digest[1 + cell]!;
  if (byte < 112) return 0;
  return byte < 200 ? 1 : 2;
}
