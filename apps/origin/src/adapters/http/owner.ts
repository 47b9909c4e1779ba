/** Whoever S3's answers name as the owner: this origin knows only one. */
export const OWNER = { ID: 'sluice', DisplayName: 'sluice' } as const;
