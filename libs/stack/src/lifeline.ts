import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Reads `+ <pid>` and `- <pid>`. When its input ends, its parent has ended in whatever way: what is still listed is asked to end, woken
 * in case it was paused, and killed when it does not listen.
 */
const WATCHDOG = `
pids=' '
while read -r sign pid; do
  case $sign in
    +) pids="$pids$pid " ;;
    -) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
alive() { for pid in $pids; do kill -0 "$pid" 2>/dev/null && return 0; done; return 1; }
for pid in $pids; do kill -TERM "$pid"; kill -CONT "$pid"; done 2>/dev/null
for second in 1 2 3 4 5 6 7 8 9 10; do alive || exit 0; sleep 1; done
for pid in $pids; do kill -KILL "$pid"; done 2>/dev/null
`;

let watchdog: ChildProcess | undefined;

/**
 * Ties a child to the life of this process, also to its end by SIGKILL, which no handler sees: a small shell that outlives both waits
 * for that moment. Call the returned function when the child has ended.
 */
export function tie(pid: number): () => void {
  watchdog ??= startWatchdog();
  const input = watchdog.stdin;
  input?.write(`+ ${pid}\n`);
  return () => input?.write(`- ${pid}\n`);
}

function startWatchdog(): ChildProcess {
  const child = spawn('/bin/sh', ['-c', WATCHDOG], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  // Without a shell children are tied only to this process's orderly end.
  child.once('error', () => {});
  child.stdin?.on('error', () => {});
  child.unref();
  // A pipe is a socket here; it must not keep this process alive.
  (child.stdin as unknown as { unref?(): void } | null)?.unref?.();
  return child;
}
