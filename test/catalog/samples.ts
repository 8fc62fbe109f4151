/** Pictures of 3 by 2 pixels, as an encoder wrote them (libvips 8). */
const encoded = {
  png: "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAEklEQVQImWP4v5QBgqDU/6UMAGh+Cdm1HCJpAAAAAElFTkSuQmCC",
  jpeg: "/9j/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARCAACAAMDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAABQb/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCuAkTb/9k=",
  "progressive jpeg":
    "/9j/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wgARCAACAAMDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAVAQEBAAAAAAAAAAAAAAAAAAAEBf/aAAwDAQACEAMQAAABrEhv/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABBQJ//8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAwEBPwF//8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAgEBPwF//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQAGPwJ//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPyF//9oADAMBAAIAAwAAABD3/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAwEBPxB//8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAgEBPxB//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxB//9k=",
  webp: "UklGRj4AAABXRUJQVlA4IDIAAADQAQCdASoDAAIAAUAmJaACdLoB+AADsAD+8JCj/4cp8OU+HKf8OU/9QZ8tD5aH63AAAA==",
  "lossless webp": "UklGRhwAAABXRUJQVlA4TBAAAAAvAkAAAAfQ0v5H/wMR0f8A",
  "extended webp":
    "UklGRkYAAABXRUJQVlA4WAoAAAAQAAAAAgAAAQAAQUxQSAcAAAAAgICAgICAAFZQOCAYAAAAMAEAnQEqAwACAAFAJiWkAANwAP79IFAA",
};

export type Sample = keyof typeof encoded;

export const sample = (name: Sample): Uint8Array =>
  Uint8Array.from(atob(encoded[name]), (character) => character.charCodeAt(0));

export const samples = Object.keys(encoded) as Sample[];

/** The picture with other bytes at a place. */
export function altered(name: Sample, at: number, ...bytes: number[]): Uint8Array {
  const picture = sample(name);
  picture.set(bytes, at);
  return picture;
}

/** The PNG with so many bytes in a chunk of its own before its end. */
export function paddedPng(padding: number): Uint8Array {
  const png = sample("png");
  const end = png.length - 12;
  const whole = new Uint8Array(png.length + 12 + padding);
  whole.set(png.subarray(0, end));
  new DataView(whole.buffer).setUint32(end, padding);
  whole.set(new TextEncoder().encode("noIs"), end + 4);
  whole.set(png.subarray(end), whole.length - 12);
  return whole;
}
