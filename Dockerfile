# One image for all apps; the command selects the app.
FROM node:24-bookworm-slim AS modules
WORKDIR /octo
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save --omit=dev

FROM node:24-bookworm-slim AS build
WORKDIR /octo
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save
COPY . .
# The image needs neither the launcher nor its embedded engines.
RUN node tools/setup.mjs && rm -r dist/tools dist/verification dist/bin/start.js*

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /octo
# A new volume that is mounted here takes over the owner: create-secrets.mjs runs as that user.
RUN mkdir -p /secrets/auth /secrets/gateway /secrets/postgres /secrets/redis && chown -R node:node /secrets
COPY package.json providers.yaml deploy/create-secrets.mjs ./
COPY --from=modules /octo/node_modules node_modules
COPY --from=build /octo/dist dist
USER node
CMD ["node", "dist/bin/gateway.js"]
