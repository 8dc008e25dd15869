// The refusal that the page makes itself: the box answered something that it cannot read.

import type { Refusal } from '../logic/refusal';

export const STRANGE: Refusal = {
  status: 0,
  code: null,
  message: 'This page does not understand the answer of the box; reload the page.',
  faults: [],
  retry_secs: null,
  paste: null,
};
