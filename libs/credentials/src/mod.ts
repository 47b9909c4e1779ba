/** Who may do what on the broker: users with their permissions, keys and certificates, and the files that hold them. */
export { adminTokensIn, withNewAdminToken } from './admin-token.ts';
export type { CredentialsOptions, CredentialsReport, EdgeCredentials } from './credentials-directory.ts';
export { CredentialsDirectory, CredentialsError } from './credentials-directory.ts';
export type { Permissions, Role, User } from './permissions.ts';
export { permissionsOf } from './permissions.ts';
export { brokerConfiguration, usersConfiguration } from './server-configuration.ts';
