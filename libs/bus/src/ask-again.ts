/**
 * Asks, and as long as there is no answer asks again: after `againAfterMs`, after twice that, after four times that. Of several who share the requests one may hang, and another
 * one is likely to get the next. The first answer counts, or the first failure; each asking is given what is left of `timeoutMs`.
 */
export function askAgain<Answer>(
  ask: (timeoutMs: number) => Promise<Answer>,
  { timeoutMs, againAfterMs }: { readonly timeoutMs: number; readonly againAfterMs: number },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
    };
    const from = (passedMs: number): void => {
      ask(timeoutMs - passedMs).then(
        (answer) => end(() => resolve(answer)),
        (error: unknown) => end(() => reject(error)),
      );
      const nextMs = passedMs === 0 ? againAfterMs : 2 * passedMs;
      if (nextMs < timeoutMs) timer = setTimeout(from, nextMs - passedMs, nextMs);
    };
    from(0);
  });
}
