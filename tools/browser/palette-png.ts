import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLORS_MAX = 256;
/** Bytes for each pixel of the two colour types that browsers write: RGB and RGBA. */
const BYTES_PER_PIXEL: Record<number, number> = { 2: 3, 6: 4 };

interface Image {
  width: number;
  height: number;
  /** One number for each pixel: 0xRRGGBB. */
  pixels: Uint32Array;
}

/**
 * The same image with a palette of its 256 most frequent colours: a third of the size, for images of text on plain
 * grounds. Other colours become the nearest of these. PNG, third edition (W3C), sections 9 to 11.
 * @throws for a PNG that a browser does not write: interlaced, or not 8 bits of RGB or RGBA
 */
export function withPalette(png: Buffer): Buffer {
  const image = decode(png);
  const palette = frequentColors(image.pixels);
  return encode(image, palette, indexesOf(image.pixels, palette));
}

function decode(png: Buffer): Image {
  const parts: Buffer[] = [];
  for (let at = SIGNATURE.length; at < png.length; at += png.readUInt32BE(at) + 12) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + length));
  }
  const [width, height, depth, colorType, interlace] = [
    png.readUInt32BE(16),
    png.readUInt32BE(20),
    png[24],
    png[25] ?? 0,
    png[28],
  ];
  const step = BYTES_PER_PIXEL[colorType];
  if (depth !== 8 || step === undefined || interlace !== 0) throw new Error('not a PNG of a browser');
  const bytes = unfilter(inflateSync(Buffer.concat(parts)), { rowBytes: width * step, step });
  const pixels = new Uint32Array(width * height);
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = bytes.readUIntBE(i * step, 3);
  return { width, height, pixels };
}

/** Each row begins with the number of its filter, which predicts a byte from its left and upper neighbours. */
function unfilter(rows: Buffer, { rowBytes, step }: { rowBytes: number; step: number }): Buffer {
  const height = rows.length / (rowBytes + 1);
  const bytes = Buffer.alloc(rowBytes * height);
  for (let y = 0; y < height; y += 1) {
    const filter = rows[y * (rowBytes + 1)] ?? 0;
    for (let x = 0; x < rowBytes; x += 1) {
      const at = y * rowBytes + x;
      const left = x < step ? 0 : (bytes[at - step] ?? 0);
      const up = bytes[at - rowBytes] ?? 0;
      const upLeft = x < step ? 0 : (bytes[at - rowBytes - step] ?? 0);
      bytes[at] = (rows[at + y + 1] ?? 0) + predict(filter, { left, up, upLeft });
    }
  }
  return bytes;
}

function predict(filter: number, { left, up, upLeft }: { left: number; up: number; upLeft: number }): number {
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  if (filter === 0) return 0;
  const [toLeft, toUp, toUpLeft] = [Math.abs(up - upLeft), Math.abs(left - upLeft), Math.abs(left + up - 2 * upLeft)];
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}

function frequentColors(pixels: Uint32Array): number[] {
  const counts = new Map<number, number>();
  for (const color of pixels) counts.set(color, (counts.get(color) ?? 0) + 1);
  const byCount = [...counts].toSorted(([, one], [, other]) => other - one);
  return byCount.slice(0, COLORS_MAX).map(([color]) => color);
}

function indexesOf(pixels: Uint32Array, palette: readonly number[]): Uint8Array {
  const known = new Map(palette.map((color, index) => [color, index]));
  return Uint8Array.from(pixels, (color) => {
    const index = known.get(color) ?? nearest(color, palette);
    known.set(color, index);
    return index;
  });
}

function nearest(color: number, palette: readonly number[]): number {
  let best = 0;
  let bestDistance = Infinity;
  for (const [index, candidate] of palette.entries()) {
    const distance = [16, 8, 0].reduce(
      (sum, bits) => sum + (((color >> bits) & 255) - ((candidate >> bits) & 255)) ** 2,
      0,
    );
    if (distance < bestDistance) [best, bestDistance] = [index, distance];
  }
  return best;
}

function encode({ width, height }: Image, palette: readonly number[], indexes: Uint8Array): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  const colors = Buffer.alloc(palette.length * 3);
  for (const [index, color] of palette.entries()) colors.writeUIntBE(color, index * 3, 3);
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) rows.set(indexes.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const data = deflateSync(rows, { level: 9 });
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', colors),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
