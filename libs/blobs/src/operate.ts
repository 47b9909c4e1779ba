/**
 * Runs one disk or database operation under a label (`BLOB_COMMIT:RENAME`). Real stores just run it; a test passes its own to fail
 * or kill exactly one operation and then check what a restart finds.
 */
export type Operate = <Result>(label: string, operation: () => Result) => Result;

export const operate: Operate = (_label, operation) => operation();
