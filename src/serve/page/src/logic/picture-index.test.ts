import { describe, expect, test } from 'vitest';
import { type Part } from './recorded-protocol';
import { PictureIndex } from './picture-index';

/** A second of 4 pictures, whose first is of the date `wall_ms`. */
function part(media_secs: number, wall_ms: number, way: 1 | -1 = 1): Part {
  const pictures = [0, 0.25, 0.5, 0.75].map((more) => media_secs + more);
  return { serial: 0, media_secs, end_secs: media_secs + 1, wall_ms, way, pictures };
}

const GAP = { start_ms: 12_000, end_ms: 60_000, message: 'power' };

function reel(): PictureIndex {
  const made = new PictureIndex();
  made.add(part(1, 10_000), null);
  made.add(part(2, 11_000), null);
  made.add(part(3, 60_000), GAP);
  return made;
}

describe('a reel', () => {
  test('gives the date of any moment, over a gap too', () => {
    expect([1, 2.3, 3, 3.5].map((secs) => Math.round(reel().date(secs) ?? 0))).toEqual([
      10_000, 11_300, 60_000, 60_500,
    ]);
    expect(reel().gap(3.2)).toBe(GAP);
    expect(reel().gap(2.9)).toBe(null);
    expect(new PictureIndex().date(1)).toBe(null);
  });

  test('finds the picture of a date: the last one not after it', () => {
    expect([10_000, 10_249, 11_250, 60_999].map((ms) => reel().find(ms))).toEqual([
      1, 1, 2.25, 3.75,
    ]);
    // Before everything and in the gap: what comes next. Behind everything: not yet.
    expect([5_000, 30_000, 61_000].map((ms) => reel().find(ms))).toEqual([1, 3, null]);
    expect([9_999, 10_000, 11_000].map((ms) => reel().reaches(ms))).toEqual([false, true, true]);
  });

  test('knows the pictures beside one, over parts and gaps, and none beyond', () => {
    const steps: (number | null)[] = [];
    for (let at: number | null = 1; at !== null; at = reel().beside(at, 1)) steps.push(at);
    expect(steps).toEqual([1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 3.75]);
    expect(reel().beside(1, -1)).toBe(null);
    expect(reel().beside(3.1, -1)).toBe(2.75);
    // A browser's own rounding is not a picture further.
    expect(reel().beside(1.2499999, 1)).toBe(1.5);
  });

  test('takes what lies between two parts for the end of the first', () => {
    const late = reel();
    late.add(part(4, 61_030), null);
    expect([61_020, 61_031].map((ms) => late.find(ms))).toEqual([3.75, 4]);
  });

  test('finds the picture before one, whatever their dates', () => {
    const odd = reel();
    odd.add(part(4, 60_740), null);
    expect([60_740, 60_000, 10_000].map((ms) => odd.findBefore(ms))).toEqual([3.75, 2.75, 1]);
    expect(odd.findBefore(99_000)).toBe(null);
  });

  test('aims at the middle of a picture', () => {
    expect([1, 1.75, 3.75].map((secs) => reel().middle(secs))).toEqual([1.125, 1.875, 3.875]);
  });

  test('runs backwards', () => {
    const back = new PictureIndex();
    back.add({ ...part(1, 50_000, -1), pictures: [1] }, null);
    back.add({ ...part(2, 49_000, -1), pictures: [2] }, null);
    expect(back.date(2.5)).toBe(48_500);
    expect(back.find(48_700)).toBe(2);
  });

  test('forgets what is trimmed', () => {
    const made = reel();
    made.trim(2.5);
    expect(made.picture(-Infinity)).toBe(2);
    made.clear();
    expect(made.empty).toBe(true);
  });
});
