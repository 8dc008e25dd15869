import { expect, test } from 'vitest';
import { localInput, readJobs } from './exports';

const JOB = {
  id: '0011223344556677',
  state: 'running',
  reason: null,
  percent: 64,
  bytes: null,
  streams: ['gate', 'yard'],
  start: '2026-11-22T17:00:00.000Z',
  end: '2026-11-22T17:10:00.000Z',
  file: null,
};

test('reads jobs as the box writes them', () => {
  const [job] = readJobs({ exports: [JOB] }) ?? [];
  expect(job?.percent).toBe(64);
  expect(job?.end_ms).toBe(Date.parse(JOB.end));
  expect(job?.streams).toEqual(['gate', 'yard']);
});

test('leaves out what is not a job, and takes no file of another host', () => {
  expect(readJobs({ exports: [{ ...JOB, state: 'sold' }, 7, { ...JOB, start: 'x' }] })).toEqual([]);
  expect(readJobs({})).toBeNull();
  const [job] = readJobs({ exports: [{ ...JOB, file: 'https://else/x', percent: 900 }] }) ?? [];
  expect(job).toMatchObject({ file: null, percent: 100 });
});

test('a local time goes into a field and back', () => {
  const ms = Date.parse('2026-11-22T17:00:05Z');
  expect(new Date(localInput(ms)).getTime()).toBe(ms);
});
