/** What tests share: a real broker, temporary directories, a clock that obeys. */
export { silentLog, temporaryDirectory, testBroker, testCluster } from './broker.ts';
export { contentOf, sha256Of } from './contents.ts';
export { edgeReport } from './edge-report.ts';
export { eventually } from './eventually.ts';
export { FakeClock } from './fake-clock.ts';
