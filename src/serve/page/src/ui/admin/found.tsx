// What was found at the address of a camera: its picture, its format, and what to mend.

import type { Trial } from '../../logic/camera';
import { bitrate, codec } from '../../logic/format';
import { Icon } from '../icon';
import { Prose } from '../prose';

export function Found({ trial }: { trial: Trial }) {
  return (
    <section class="found" aria-labelledby="found-name">
      <h2 id="found-name">
        <Icon name="check" /> The camera answers
      </h2>
      {trial.picture === null ? (
        <p class="quiet">No picture of it can be shown here; it can be saved all the same.</p>
      ) : (
        <img src={trial.picture} alt="What the camera sees" />
      )}
      <p>{factsOf(trial).join(' · ')}</p>
      {trial.warnings.length > 0 && (
        <ul class="warnings" aria-label="Warnings">
          {trial.warnings.map((one) => (
            <li key={one}>
              <Icon name="warn" />
              <span>
                <Prose text={one} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** "H.264", "1920×1080", "25 fps", "a key frame every 2 s", "4.1 Mbit/s". */
function factsOf({ codec: name, width, height, fps, gop_secs, bitrate_bps }: Trial): string[] {
  return [
    ...(name === null ? [] : [codec(name)]),
    ...(width === null || height === null ? [] : [`${width}×${height}`]),
    ...(fps === null ? [] : [`${Math.round(fps * 10) / 10} fps`]),
    ...(gop_secs === null ? [] : [`a key frame every ${Math.round(gop_secs * 10) / 10} s`]),
    ...(bitrate_bps === null ? [] : [bitrate(bitrate_bps)]),
  ];
}
