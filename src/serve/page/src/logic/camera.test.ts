import { expect, test } from 'vitest';
import {
  accessOf,
  addressFault,
  type CameraForm,
  nameFault,
  readTrial,
  sectionOf,
  suggestName,
} from './camera';

test('reads what a camera sent; what is odd is not known', () => {
  expect(
    readTrial({
      codec: 'H264',
      width: 1920,
      height: 1080,
      fps: 25,
      gop: 2,
      bitrate: 4_000_000,
      picture: '/9j/4AAQ',
      warnings: ['A key frame comes every 10 s only.', { message: 'B-frames.' }, 7],
    }),
  ).toEqual({
    codec: 'H264',
    width: 1920,
    height: 1080,
    fps: 25,
    gop_secs: 2,
    bitrate_bps: 4_000_000,
    picture: 'data:image/jpeg;base64,/9j/4AAQ',
    warnings: ['A key frame comes every 10 s only.', 'B-frames.'],
  });
  expect(readTrial({ fps: 'x', picture: 'http://evil.example/a.jpg' })).toMatchObject({
    fps: null,
    picture: null,
    warnings: [],
  });
  expect(readTrial([])).toBe(null);
});

test('a name is one that the configuration takes, and new', () => {
  expect(nameFault('gate-2', ['gate'])).toBe(null);
  expect(nameFault('gate', ['gate'])).toMatch(/already/);
  for (const wrong of ['', 'Gate', 'a b', 'x'.repeat(33), '../x'])
    expect(nameFault(wrong, [])).toMatch(/^Use 1 to 32/);
});

test.each([
  ['rtsp://10.0.0.7:554/main', null],
  ['rtsps://cam.local/x?a=b', null],
  ['rtsp://[fd00::7]/main', null],
  ['http://10.0.0.7/video.mjpg', null],
  ['https://cam.local/axis-cgi/mjpg/video.cgi?fps=5', null],
  ['ftp://10.0.0.7/', 'begins with rtsp'],
  ['http:///video', 'begins with rtsp'],
  ['10.0.0.7', 'begins with rtsp'],
  ['rtsp:///main', 'begins with rtsp'],
  ['rtsp://viewer:secret@10.0.0.7/', 'their own fields'],
])('the address %s', (address, wrong) => {
  if (wrong === null) expect(addressFault(address)).toBe(null);
  else expect(addressFault(address)).toContain(wrong);
});

test('an address suggests a name', () => {
  expect(suggestName('rtsp://Gate.local/main')).toBe('gate');
  expect(suggestName('rtsp://10.0.0.7:554/main')).toBe('camera-10-0-0-7');
  expect(suggestName('nothing')).toBe('');
});

const form: CameraForm = {
  name: 'gate',
  title: '',
  url: 'rtsp://g/',
  username: '',
  password: '',
  transport: 'auto',
  record: true,
};

test('the transport that a person chose is asked for and kept, where there is a choice', () => {
  expect(accessOf({ ...form, transport: 'udp' })).toEqual({ url: 'rtsp://g/', transport: 'udp' });
  const source = { kind: 'rtsp_pull', url: 'rtsp://g/', transport: 'http' };
  expect(sectionOf({ ...form, transport: 'http' })).toEqual({ source });
  expect(accessOf({ ...form, url: 'http://g/', transport: 'udp' })).toEqual({ url: 'http://g/' });
});

test('a camera without credentials has none, and recording is on unless it is switched off', () => {
  expect(sectionOf(form)).toEqual({ source: { kind: 'rtsp_pull', url: 'rtsp://g/' } });
  expect(sectionOf({ ...form, title: 'Gate' })).toMatchObject({ title: 'Gate' });
  expect(sectionOf({ ...form, username: 'v', password: 's', record: false })).toEqual({
    source: { kind: 'rtsp_pull', url: 'rtsp://g/', username: 'v', password: 's' },
    record: false,
  });
});
