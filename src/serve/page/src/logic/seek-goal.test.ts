import { expect, test } from 'vitest';
import { PictureIndex } from './picture-index';
import type { Part } from './recorded-protocol';
import { SeekGoal } from './seek-goal';

const part = (media_secs: number, wall_ms: number): Part => ({
  serial: 0,
  media_secs,
  end_secs: media_secs + 1,
  wall_ms,
  way: 1,
  pictures: [media_secs, media_secs + 0.5],
});

test('a date becomes a place once its part has arrived, and is reached there', () => {
  const [goal, index] = [new SeekGoal(), new PictureIndex()];
  goal.aim(11_600);
  index.add(part(1, 10_000), null);
  expect(goal.find(part(1, 10_000), index, 'all')).toBe(null);
  index.add(part(2, 11_000), null);
  expect(goal.find(part(2, 11_000), index, 'all')).toBe(2.5);
  goal.place(2.75);
  expect([goal.date_ms, goal.secs]).toEqual([null, 2.75]);
  expect(goal.find(part(3, 12_000), index, 'all')).toBe(null);
  goal.reached();
  expect(goal.secs).toBe(null);
});

test('a step back goes to the picture before a part', () => {
  const [goal, index] = [new SeekGoal(), new PictureIndex()];
  for (const one of [part(1, 10_000), part(2, 11_000)]) index.add(one, null);
  goal.aim(10_990, 11_000);
  expect(goal.find(part(2, 11_000), index, 'all')).toBe(1.5);
});

test('in reverse the first part that arrives is the goal', () => {
  const goal = new SeekGoal();
  goal.aim(10_000);
  expect(goal.find(part(7, 9_000), new PictureIndex(), 'reverse')).toBe(7);
});

test('a new goal forgets the place of the old one', () => {
  const goal = new SeekGoal();
  goal.place(3);
  goal.aim(10_000);
  expect([goal.date_ms, goal.secs]).toEqual([10_000, null]);
});
