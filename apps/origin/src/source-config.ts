/** Where an origin's content comes from: the variables, and what they come to. */
import { bytesVariable, integerVariable } from '@sluice/runtime';
import { z } from 'zod';
import type { S3Credentials } from './adapters/source/s3-connection.ts';
import { newBucketProblem } from './domain/bucket-name.ts';

const flag = z.enum(['no', 'yes'], 'must be no or yes');
const bucketName = z.string().superRefine((name, context) => {
  const message = newBucketProblem(name);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});
/** A subject of one or more tokens (https://docs.nats.io/nats-concepts/subjects), `*` and `>` allowed. */
const subject = z.string().regex(/^[^\s.*>]+(?:\.(?:[^\s.*>]+|\*))*(?:\.>)?$/, 'must be a NATS subject such as s3.events or minio.>');

export const sourceVariables = {
  /** `store`: what is uploaded. `directory`: a directory tree that is there already. `s3`: a bucket that is there already. */
  ORIGIN_SOURCE: z.enum(['store', 'directory', 's3'], 'must be store, directory or s3').default('store'),
  /** The bucket in which a directory's files are, and what the bucket of an S3 service is called here; by default as it is called there. */
  ORIGIN_SOURCE_BUCKET: bucketName.optional(),
  /** Seconds between two comparisons with everything at the source. */
  ORIGIN_SOURCE_RESCAN_SECONDS: integerVariable(1, 7 * 24 * 3600).default(60),
  /** Bytes of the source that are kept near: 10 GiB. */
  ORIGIN_CACHE_BYTES: bytesVariable.refine((bytes) => bytes >= 1024 ** 2, 'must be at least 1MiB').default(10 * 1024 ** 3),

  ORIGIN_SOURCE_DIRECTORY: z.string().optional(),
  /** Content types, fields and tags by path, and what to ignore: see docs/sources.md. */
  ORIGIN_SOURCE_RULES_FILE: z.string().optional(),

  /** Absent: Amazon's own, of the region. */
  ORIGIN_SOURCE_S3_ENDPOINT: z.url({ protocol: /^https?$/, error: 'must be an absolute http or https URL' }).optional(),
  ORIGIN_SOURCE_S3_REGION: z.string().default('us-east-1'),
  ORIGIN_SOURCE_S3_BUCKET: z.string().optional(),
  /** Only what begins with this is content, and is called without it: `www/`. */
  ORIGIN_SOURCE_S3_PREFIX: z.string().default(''),
  /** Absent: what the AWS SDK finds (environment, profile, instance role). */
  ORIGIN_SOURCE_S3_ACCESS_KEY_ID: z.string().optional(),
  ORIGIN_SOURCE_S3_SECRET_ACCESS_KEY: z.string().optional(),
  /** Whether the bucket is in the path of a URL rather than in its host name. By default it is where an endpoint is named. */
  ORIGIN_SOURCE_S3_PATH_STYLE: flag.optional(),
  /** Where an object store publishes its event notifications. */
  ORIGIN_SOURCE_S3_NOTIFICATIONS: subject.optional(),
};

type SourceVariables = z.output<z.ZodObject<typeof sourceVariables>>;

export interface DirectorySettings {
  readonly kind: 'directory';
  readonly root: string;
  readonly bucket: string;
  readonly rulesFile: string | undefined;
}
export interface S3Settings {
  readonly kind: 's3';
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly bucket: string;
  /** As it is called here. */
  readonly name: string;
  readonly prefix: string;
  readonly credentials: S3Credentials | undefined;
  readonly pathStyle: boolean;
  readonly notifications: string | undefined;
}
export interface StoreSettings {
  readonly kind: 'store';
}
export type SourceSettings = StoreSettings | DirectorySettings | S3Settings;

/** Which variables each source needs, and which are of another. */
const OF_DIRECTORY = ['ORIGIN_SOURCE_DIRECTORY', 'ORIGIN_SOURCE_RULES_FILE'] as const;
const OF_S3 = [
  'ORIGIN_SOURCE_S3_ENDPOINT',
  'ORIGIN_SOURCE_S3_BUCKET',
  'ORIGIN_SOURCE_S3_ACCESS_KEY_ID',
  'ORIGIN_SOURCE_S3_SECRET_ACCESS_KEY',
  'ORIGIN_SOURCE_S3_PATH_STYLE',
  'ORIGIN_SOURCE_S3_NOTIFICATIONS',
] as const;

/** Adds what does not go together. */
export function checkSource(variables: SourceVariables, context: z.RefinementCtx): void {
  const { ORIGIN_SOURCE: kind } = variables;
  const add = (name: string, message: string): void => context.addIssue({ code: 'custom', path: [name], message });
  const need = (name: keyof SourceVariables, what: string): void => {
    if (variables[name] === undefined) add(name, `is needed with ORIGIN_SOURCE=${kind}: ${what}`);
  };
  for (const [owner, names] of [
    ['directory', OF_DIRECTORY],
    ['s3', OF_S3],
  ] as const) {
    if (kind === owner) continue;
    for (const name of names)
      if (variables[name] !== undefined) add(name, `says nothing with ORIGIN_SOURCE=${kind}; set ORIGIN_SOURCE=${owner}`);
  }
  if (kind === 'store') {
    if (variables.ORIGIN_SOURCE_BUCKET !== undefined) add('ORIGIN_SOURCE_BUCKET', 'says nothing with ORIGIN_SOURCE=store');
  } else if (kind === 'directory') {
    need('ORIGIN_SOURCE_DIRECTORY', 'the directory whose files are the content');
    need('ORIGIN_SOURCE_BUCKET', 'the bucket in which they are, as in /<bucket>/<path>');
  } else {
    need('ORIGIN_SOURCE_S3_BUCKET', 'the bucket whose objects are the content');
    if ((variables.ORIGIN_SOURCE_S3_ACCESS_KEY_ID === undefined) !== (variables.ORIGIN_SOURCE_S3_SECRET_ACCESS_KEY === undefined)) {
      add('ORIGIN_SOURCE_S3_SECRET_ACCESS_KEY', 'goes together with ORIGIN_SOURCE_S3_ACCESS_KEY_ID: set both or neither');
    }
    const { ORIGIN_SOURCE_S3_BUCKET: bucket, ORIGIN_SOURCE_BUCKET: name } = variables;
    const problem = bucket !== undefined && name === undefined ? newBucketProblem(bucket) : undefined;
    if (problem !== undefined) {
      add('ORIGIN_SOURCE_BUCKET', `is needed: "${bucket}" can be no bucket here; say what it is to be called (${problem})`);
    }
  }
}

/** What checked variables come to. */
export function sourceSettings(variables: SourceVariables): SourceSettings {
  switch (variables.ORIGIN_SOURCE) {
    case 'store':
      return { kind: 'store' };
    case 'directory':
      return {
        kind: 'directory',
        root: variables.ORIGIN_SOURCE_DIRECTORY ?? '',
        bucket: variables.ORIGIN_SOURCE_BUCKET ?? '',
        rulesFile: variables.ORIGIN_SOURCE_RULES_FILE,
      };
    case 's3': {
      const {
        ORIGIN_SOURCE_S3_BUCKET: bucket = '',
        ORIGIN_SOURCE_S3_ENDPOINT: endpoint,
        ORIGIN_SOURCE_S3_PATH_STYLE: pathStyle,
      } = variables;
      const { ORIGIN_SOURCE_S3_ACCESS_KEY_ID: accessKeyId, ORIGIN_SOURCE_S3_SECRET_ACCESS_KEY: secretAccessKey } = variables;
      return {
        kind: 's3',
        ...{ endpoint, bucket, name: variables.ORIGIN_SOURCE_BUCKET ?? bucket },
        region: variables.ORIGIN_SOURCE_S3_REGION,
        prefix: variables.ORIGIN_SOURCE_S3_PREFIX,
        credentials: accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey },
        pathStyle: pathStyle === undefined ? endpoint !== undefined : pathStyle === 'yes',
        notifications: variables.ORIGIN_SOURCE_S3_NOTIFICATIONS,
      };
    }
  }
}
