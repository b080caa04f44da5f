import { describe, expect, it } from '@jest/globals';
import { crc32, deflateSync, inflateSync } from 'node:zlib';
import { withPalette } from './palette-png.js';

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const [RED, GREEN, BLUE, WHITE] = ['ff0000', '00ff00', '0000ff', 'ffffff'];

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** @param rows each with the number of its filter, filtered by hand */
function pngOf({ width, rows, colorType }: { width: number; rows: number[][]; colorType: number }): Buffer {
  const header = Buffer.from([0, 0, 0, width, 0, 0, rows.length >> 8, rows.length & 255, 8, colorType, 0, 0, 0]);
  const data = deflateSync(Buffer.from(rows.flat()));
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

/** The colours of an indexed PNG, row by row. */
function colorsOf(png: Buffer): string[][] {
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12) {
    const length = png.readUInt32BE(at);
    const body = png.subarray(at + 4, at + 8 + length);
    expect(png.readUInt32BE(at + 8 + length)).toBe(crc32(body));
    chunks.set(body.toString('latin1', 0, 4), body.subarray(4));
  }
  const palette = chunks.get('PLTE')?.toString('hex').match(/.{6}/g) ?? [];
  const indexes = [...inflateSync(chunks.get('IDAT') ?? Buffer.alloc(0))];
  const width = (chunks.get('IHDR')?.readUInt32BE(0) ?? 0) + 1;
  const rows = Array.from({ length: indexes.length / width }, (_, y) => indexes.slice(y * width + 1, (y + 1) * width));
  return rows.map((row) => row.map((index) => palette[index] ?? 'none'));
}

describe('withPalette', () => {
  it('keeps every pixel of an RGB image with up to 256 colours, for the filters Sub and Paeth', () => {
    const rows = [
      [1, 255, 0, 0, 1, 255, 0],
      [4, 1, 0, 255, 255, 0, 0],
    ];
    const smaller = withPalette(pngOf({ width: 2, rows, colorType: 2 }));
    expect(colorsOf(smaller)).toEqual([
      [RED, GREEN],
      [BLUE, WHITE],
    ]);
  });

  it('reads RGBA, for the filters None, Up and Average', () => {
    const rows = [
      [0, 255, 0, 0, 255, 0, 255, 0, 255],
      [2, 0, 0, 0, 0, 0, 0, 0, 0],
      [3, 129, 0, 255, 128, 255, 128, 128, 0],
    ];
    const smaller = withPalette(pngOf({ width: 2, rows, colorType: 6 }));
    expect(colorsOf(smaller)).toEqual([
      [RED, GREEN],
      [RED, GREEN],
      [BLUE, WHITE],
    ]);
  });

  it('replaces rare colours by the nearest of the 256 most frequent ones', () => {
    const rows = Array.from({ length: 256 }, (_, red) => [0, red, 0, 0, red, 0, 0]);
    const last = [0, 10, 1, 0, 200, 0, 2];
    const colors = colorsOf(withPalette(pngOf({ width: 2, rows: [...rows, last], colorType: 2 })));
    expect(colors.at(-1)).toEqual(['0a0000', 'c80000']);
  });

  it('rejects a PNG that no browser writes', () => {
    const rows = [[0, 1, 1]];
    expect(() => withPalette(pngOf({ width: 2, rows, colorType: 0 }))).toThrow('not a PNG of a browser');
  });
});
