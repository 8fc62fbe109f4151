/** Chunk names and numbers as PNG, third edition, has them (5.3, 9.2, 11.2). It reads what avatars are: 8 bits, RGB. */
export async function decodePng(bytes: Uint8Array) {
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  if (signature.some((byte, index) => bytes[index] !== byte)) throw new Error("It is no PNG.");
  let header: Uint8Array | null = null;
  const data: Uint8Array[] = [];
  let name = "";
  for (let at = 8; at < bytes.length;) {
    const length = numbers.getUint32(at);
    name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + length);
    const sum = numbers.getUint32(at + 8 + length);
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== sum)
      throw new Error(`${name} is spoilt.`);
    if (name === "IHDR") header = content;
    if (name === "IDAT") data.push(content);
    at += 12 + length;
  }
  if (header === null || name !== "IEND") throw new Error("It is broken off.");
  const [width, height] = [numbers.getUint32(16), numbers.getUint32(20)];
  if (String([...header.subarray(8)]) !== "8,2,0,0,0") throw new Error("It isn't plain RGB.");
  return { width, height, pixels: unfiltered(await inflated(data), width * 3, height) };
}

async function inflated(parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const stream = new Blob([...parts]).stream();
  const plain = stream.pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

function unfiltered(rows: Uint8Array, stride: number, height: number): Uint8Array {
  if (rows.length !== height * (stride + 1)) throw new Error("Rows are missing.");
  const pixels = new Uint8Array(stride * height);
  const at = (x: number, y: number) => (x < 0 || y < 0 ? 0 : pixels[y * stride + x]!);
  for (let y = 0; y < height; y += 1) {
    const filter = rows[y * (stride + 1)]!;
    for (let x = 0; x < stride; x += 1) {
      const [left, up, corner] = [at(x - 3, y), at(x, y - 1), x < 3 ? 0 : at(x - 3, y - 1)];
      const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      if (predicted === undefined) throw new Error("There is no such filter.");
      pixels[y * stride + x] = rows[y * (stride + 1) + 1 + x]! + predicted;
    }
  }
  return pixels;
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((one) => Math.abs(guess - one)) as [
    number,
    number,
    number,
  ];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

function crc32(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}
