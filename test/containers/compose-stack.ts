/** A stack of compose files under a project name and on ports of its own. */
import { docker, IMAGE, publishedUrl, uniqueName } from './engine.ts';

export class ComposeStack {
  readonly project = uniqueName();
  readonly #variables: Readonly<Record<string, string>>;
  readonly #files: readonly string[];

  /** `files`: relative to the repository, over compose.yaml. */
  constructor(files: readonly string[] = [], variables: Readonly<Record<string, string>> = {}) {
    this.#files = ['compose.yaml', ...files].flatMap((file) => ['--file', file]);
    // Port 0 publishes on any free port.
    const ports = ['NATS_PORT', 'ORIGIN_PORT', 'ORIGIN_PORTS', 'CONTROLLER_PORT', 'EDGE_PORTS', 'EDGE_EU_PORT', 'EDGE_IN_PORT'];
    this.#variables = {
      COMPOSE_PROJECT_NAME: this.project,
      SLUICE_IMAGE: IMAGE,
      ...Object.fromEntries(ports.map((name) => [`SLUICE_${name}`, '0'])),
      ...variables,
    };
  }

  compose(...args: string[]): Promise<string> {
    return this.composeWith({}, ...args);
  }

  composeWith(variables: Readonly<Record<string, string>>, ...args: string[]): Promise<string> {
    return docker(['compose', ...this.#files, ...args], { ...this.#variables, ...variables });
  }

  async containersOf(service: string): Promise<string[]> {
    return (await this.compose('ps', '-q', service)).split('\n').filter(Boolean);
  }

  async urlOf(service: string, port: number): Promise<string> {
    return publishedUrl((await this.containersOf(service))[0] as string, port);
  }

  async edgeUrls(): Promise<string[]> {
    const containers = (await Promise.all(['edge', 'edge-eu', 'edge-in'].map((service) => this.containersOf(service)))).flat();
    return Promise.all(containers.map((container) => publishedUrl(container, 8080)));
  }

  /** Where the broker is. Its certificate is for 127.0.0.1, among others. */
  async natsUrl(): Promise<string> {
    return (await this.urlOf('nats', 4222)).replace('http:', 'tls:');
  }

  async down(): Promise<void> {
    await this.compose('down', '--volumes', '--timeout', '5');
  }
}
