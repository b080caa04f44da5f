# One image for the four apps; the command says which one runs.
FROM node:24-bookworm-slim AS modules
WORKDIR /octo
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save --omit=dev

FROM node:24-bookworm-slim AS build
WORKDIR /octo
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save
COPY . .
# The launcher and its embedded engines stay behind.
RUN node tools/setup.mjs && rm -r dist/tools dist/verification

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /octo
# The place for a key that is made on first start; a volume mounted here belongs to the user below.
RUN mkdir /keys && chown node:node /keys
COPY package.json providers.yaml ./
COPY --from=modules /octo/node_modules node_modules
COPY --from=build /octo/dist dist
USER node
CMD ["node", "dist/apps/gateway/src/main.js"]
