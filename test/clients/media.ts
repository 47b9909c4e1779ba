/** Images and sounds that every browser can read, made here. */

import { crc32, deflateSync } from 'node:zlib';
import { contentOf } from '@sluice/testkit';

/** A PNG of coloured noise. */
export function image(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // 8 bits each of red, green and blue
  const noise = contentOf(width * height * 3, 'image');
  const rows = Array.from({ length: height }, (_, y) => Buffer.concat([Buffer.of(0), noise.subarray(y * width * 3, (y + 1) * width * 3)]));
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.concat(rows))), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, checksum]);
}

const SOUND_HEADER_BYTES = 44;
export const SOUND_BYTES_PER_SECOND = 2 * 44_100;

/** A WAV of silence: 16 bits, one channel. */
export function sound(seconds: number): Buffer {
  const bytes = seconds * SOUND_BYTES_PER_SECOND;
  const wav = Buffer.alloc(SOUND_HEADER_BYTES + bytes);
  wav.write('RIFF', 0, 'latin1');
  wav.writeUInt32LE(wav.length - 8, 4);
  wav.write('WAVEfmt ', 8, 'latin1');
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20); // PCM
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(SOUND_BYTES_PER_SECOND / 2, 24);
  wav.writeUInt32LE(SOUND_BYTES_PER_SECOND, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36, 'latin1');
  wav.writeUInt32LE(bytes, 40);
  return wav;
}
