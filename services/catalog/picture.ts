import { JPG } from "image-size/types/jpg";
import { PNG } from "image-size/types/png";
import { WEBP } from "image-size/types/webp";
import { refusal } from "../../src/contract/problem.ts";
import { tooLarge } from "../../src/contract/shape.ts";

/** Bytes of a picture. */
export const MAX_PICTURE = 5_000_000;
/** Pixels of a side. */
const MAX_SIDE = 8_000;

const hasAt = (bytes: Uint8Array, at: number, ...expected: number[]) =>
  expected.every((byte, index) => bytes[at + index] === byte);
const text = (bytes: Uint8Array, at: number, length: number) =>
  String.fromCharCode(...bytes.subarray(at, at + length));
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What is taken: how its first bytes say so, how large it says it is, and whether all of it is there. */
const formats = {
  "image/png": {
    begins: (bytes: Uint8Array) => hasAt(bytes, 0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    size: (bytes: Uint8Array) => (PNG.validate(bytes) ? PNG.calculate(bytes) : null),
    isWhole: isWholePng,
  },
  "image/jpeg": {
    begins: (bytes: Uint8Array) => hasAt(bytes, 0, 0xff, 0xd8, 0xff),
    size: (bytes: Uint8Array) => JPG.calculate(bytes),
    isWhole: (bytes: Uint8Array) => hasAt(bytes, bytes.length - 2, 0xff, 0xd9),
  },
  "image/webp": {
    begins: (bytes: Uint8Array) => text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 4) === "WEBP",
    size: (bytes: Uint8Array) => (WEBP.validate(bytes) ? WEBP.calculate(bytes) : null),
    // The container says how long it is; an odd length is filled up.
    isWhole: (bytes: Uint8Array) => {
      const length = 8 + view(bytes).getUint32(4, true);
      return length + (length % 2) === bytes.length;
    },
  },
};

export type PictureType = keyof typeof formats;

export const isPictureType = (type: string | undefined): type is PictureType =>
  type !== undefined && Object.hasOwn(formats, type);

/**
 * What a picture is, by its bytes and by nothing that was said of it.
 *
 * @throws ProblemError body-too-large, unsupported-media-type where it is none of PNG, JPEG and WebP,
 *   invalid-body where it is broken off, malformed, or has a side of none or of more than 8,000 pixels
 */
export function pictureTypeOf(bytes: Uint8Array): PictureType {
  if (bytes.byteLength > MAX_PICTURE) throw tooLarge(MAX_PICTURE);
  const [type, format] = Object.entries(formats).find(([, { begins }]) => begins(bytes)) ?? [];
  if (type === undefined || format === undefined) {
    throw refusal("unsupported-media-type", "A picture is PNG, JPEG or WebP, by its first bytes.");
  }
  if (!isSane(bytes, format)) {
    throw refusal(
      "invalid-body",
      `The bytes begin as ${type}, but are broken off, malformed, or have a side of none or of more than ${MAX_SIDE} pixels.`,
    );
  }
  return type as PictureType;
}

function isSane(bytes: Uint8Array, { size, isWhole }: (typeof formats)[PictureType]): boolean {
  try {
    const found = size(bytes);
    return found !== null && isSide(found.width) && isSide(found.height) && isWhole(bytes);
  } catch {
    // The parsers throw at what they can't read.
    return false;
  }
}

const isSide = (pixels: number) => Number.isInteger(pixels) && pixels >= 1 && pixels <= MAX_SIDE;

/** Chunk after chunk, `IHDR` the first, and nothing after `IEND` (PNG, third edition, 5.3 and 5.6). */
function isWholePng(bytes: Uint8Array): boolean {
  const numbers = view(bytes);
  if (text(bytes, 12, 4) !== "IHDR" || numbers.getUint32(8) !== 13) return false;
  for (let at = 8; at + 12 <= bytes.length;) {
    const name = text(bytes, at + 4, 4);
    at += 12 + numbers.getUint32(at);
    if (name === "IEND") return at === bytes.length;
  }
  return false;
}
