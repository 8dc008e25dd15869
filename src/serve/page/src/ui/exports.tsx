// Export jobs: what there is, how far it is, and a form for another one.

import { useEffect, useState } from 'preact/hooks';
import { type Job, type JobState, localInput } from '../logic/exports';
import { moment, size } from '../logic/format';
import { now_ms, streams } from '../state/box';
import { startExport, jobs, remove, pollExports } from '../state/exports';
import { boxUrl } from '../net/url';
import { Icon } from './icon';

/** How far back a new export begins unless somebody says otherwise. */
const SPAN_MS = 10 * 60_000;

const WORDS: Record<JobState, string> = {
  queued: 'Waiting',
  running: 'Being made',
  done: 'Ready',
  failed: 'Failed',
};

export function Exports() {
  useEffect(pollExports, []);
  const [trouble, setTrouble] = useState<string | null>(null);
  const recorded = (streams.value ?? []).filter((one) => one.recording !== null);
  const list = jobs.value ?? [];
  if (recorded.length === 0 && list.length === 0) return null;
  return (
    <section class="held exports" aria-labelledby="exports-name">
      <h2 id="exports-name">Exports</h2>
      <Form names={recorded.map((one) => one.name)} tell={setTrouble} />
      {trouble !== null && <p role="alert">{trouble}</p>}
      <ul>
        {list.map((job) => (
          <Row key={job.id} job={job} tell={setTrouble} />
        ))}
      </ul>
    </section>
  );
}

type Tell = (trouble: string | null) => void;

function Form({ names, tell }: { names: readonly string[]; tell: Tell }) {
  const [end_ms] = useState(now_ms.value);
  if (names.length === 0) return null;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const date = (name: string) => new Date(String(fields.get(name)));
    tell(await startExport(fields.getAll('stream').map(String), date('start'), date('end')));
  };
  return (
    <details>
      <summary>New export</summary>
      <form onSubmit={(event) => void submit(event)}>
        <fieldset>
          <legend>Streams</legend>
          {names.map((name) => (
            <label key={name}>
              <input type="checkbox" name="stream" value={name} defaultChecked /> {name}
            </label>
          ))}
        </fieldset>
        <DateField name="start" label="From" ms={end_ms - SPAN_MS} />
        <DateField name="end" label="To" ms={end_ms} />
        <button type="submit">Export as signed zip</button>
      </form>
    </details>
  );
}

function DateField({ name, label, ms }: { name: string; label: string; ms: number }) {
  return (
    <label>
      {label}{' '}
      <input type="datetime-local" name={name} step="1" required defaultValue={localInput(ms)} />
    </label>
  );
}

function Row({ job, tell }: { job: Job; tell: Tell }) {
  const over = job.state === 'done' || job.state === 'failed';
  const what = job.streams.join(', ');
  const times = `${moment(job.start_ms, now_ms.value)} to ${moment(job.end_ms, now_ms.value)}`;
  const act = over ? 'Remove' : 'Cancel';
  return (
    <li data-state={job.state}>
      <span>
        <b>{what}</b> {times}
      </span>
      <span>
        {WORDS[job.state]}
        {job.state === 'running' && ` ${job.percent} %`}
        {job.bytes !== null && ` ${size(job.bytes)}`}
        {job.reason !== null && `: ${job.reason}`}
      </span>
      {job.state === 'running' && (
        <progress max={100} value={job.percent} aria-label={`Export of ${what}`} />
      )}
      {job.file !== null && (
        <a
          class="button"
          href={boxUrl(job.file).href}
          download
          aria-label={`Download the export of ${what}, ${times}`}
        >
          <Icon name="save" /> Download
        </a>
      )}
      <button
        type="button"
        aria-label={`${act} the export of ${what}, ${times}`}
        onClick={() => void remove(job.id).then(tell)}
      >
        {act}
      </button>
    </li>
  );
}
