import type { Credentials } from '@sluice/sigv4';
import type { Command } from 'commander';
import { ControllerClient } from '../adapters/controller-client.ts';
import type { Io } from '../adapters/io.ts';
import { OriginClient } from '../adapters/origin-client.ts';
import { type Settings, settings } from '../config.ts';
import { type ExitCode, usageError } from '../domain/failure.ts';
import { Terminal } from '../render/terminal.ts';

/** What a command works with. */
export interface Context {
  readonly io: Io;
  readonly terminal: Terminal;
  readonly settings: Settings;
  readonly origin: OriginClient;
  readonly controller: ControllerClient;
}

/** Runs a command's work with the context that its options give; what it throws is the program's to report. */
export type Run = (command: Command, work: (context: Context) => Promise<ExitCode>) => Promise<void>;

/** Adds one command to the program. */
export type AddCommand = (program: Command, run: Run) => void;

export function createContext(command: Command, io: Io): Context {
  const chosen = settings.parse(command.optsWithGlobals());
  return {
    io,
    terminal: new Terminal(io, chosen.json),
    settings: chosen,
    origin: new OriginClient(chosen.origin, credentialsOf(chosen)),
    controller: new ControllerClient(chosen.controller, chosen.adminTokenFile),
  };
}

/** @throws {CommandError} usage, when there is half a key */
function credentialsOf({ accessKeyId = '', secretAccessKey = '' }: Settings): Credentials | undefined {
  if ((accessKeyId === '') !== (secretAccessKey === '')) {
    throw usageError('a key has two parts: set both SLUICE_ACCESS_KEY_ID and SLUICE_SECRET_ACCESS_KEY, or neither');
  }
  return accessKeyId === '' ? undefined : { accessKeyId, secretAccessKey };
}
