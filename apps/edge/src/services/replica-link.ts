/** The replica as a serving thread reaches it. */
import type { MessagePort } from 'node:worker_threads';
import { errorFromWire } from '@sluice/contracts';
import type { Asked, FromServing, Questions, ToServing } from './serving-messages.ts';

type Waiting = { readonly resolve: (answer: never) => void; readonly reject: (error: unknown) => void };

export class ReplicaLink {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  /** `onMessage`: for what is no answer. */
  constructor(port: MessagePort, onMessage: (message: Exclude<ToServing, { kind: 'answered' | 'refused' }>) => void) {
    this.#port = port;
    port.on('message', (message: ToServing) => {
      if (message.kind === 'answered') this.#settle(message.id)?.resolve(message.answer as never);
      else if (message.kind === 'refused') this.#settle(message.id)?.reject(errorFromWire(message.error));
      else onMessage(message);
    });
  }

  tell(message: FromServing): void {
    this.#port.postMessage(message);
  }

  /** As many questions are open as visitors wait. `withdrawn`: the replica need not bring anything for the answer any more. @throws {SluiceError} */
  ask<Name extends keyof Questions>(
    name: Name,
    question: Questions[Name]['question'],
    withdrawn?: AbortSignal,
  ): Promise<Questions[Name]['answer']> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      withdrawn?.addEventListener('abort', () => {
        if (this.#waiting.has(id)) this.tell({ kind: 'withdrawn', id });
      });
      this.#waiting.set(id, { resolve, reject });
      this.tell({ kind: 'asked', id, asked: { name, question } as Asked });
    });
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  close(): void {
    this.#port.close();
  }
}
