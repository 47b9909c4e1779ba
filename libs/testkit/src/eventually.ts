/**
 * Waits until `probe` stops throwing and returns its value; for state that announces itself nowhere. Prefer awaiting the event.
 * @throws the last failure after `timeoutMs`
 */
export async function eventually<Value>(probe: () => Value | Promise<Value>, timeoutMs = 10_000): Promise<Value> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  }
}
