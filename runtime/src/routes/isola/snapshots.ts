import { createRoute } from "@hono/zod-openapi";
import * as z from "zod";
import { SandboxId, SnapshotName } from "#api/scalars.ts";
import { CreateRootfsSnapshotRequest, RootfsSnapshotList, RootfsSnapshotResponse, SnapshotId } from "#api/snapshot.ts";
import { PLACE_PATTERN } from "#core/snapshot/page-of.ts";
import { answer, answerJson } from "../../answer.ts";
import { callOf, type Gateway, type RouteDeps } from "../../gateway.ts";
import { bind } from "../bind.ts";
import { createSnapshot } from "./create-snapshot.ts";
import { IdempotencyKey } from "./parameters.ts";
import { problems } from "./responses.ts";
import { toSnapshotResponse } from "./snapshot-response.ts";
import { snapshotsOf } from "./snapshots-of.ts";

const PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1000;

const Params = z.object({ id: SnapshotId });
const ListQuery = z.object({
  limit: z.int().min(1).max(MAX_PAGE_SIZE).optional().describe(`Most records of a page; default ${PAGE_SIZE}.`),
  after: z
    .string()
    .regex(PLACE_PATTERN, "Expected the `next` of a page")
    .optional()
    .describe("`next` of the page before."),
  snapshotName: SnapshotName.optional().describe("Only those that write this name."),
  sandboxId: SandboxId.optional().describe("Only those of this sandbox."),
});
const json = <S extends z.ZodType>(schema: S) => ({ "application/json": { schema } });

/** Create, list, get and delete of the records of snapshots. */
export function snapshotRoutes(app: Gateway, deps: RouteDeps): void {
  const { backend, config } = deps;
  bind(
    app,
    createRouteConfig,
    async (c, { body, headers }) => {
      const snapshots = snapshotsOf(backend);
      const snapshot = await createSnapshot(body, headers["Idempotency-Key"], { ...deps, snapshots, call: callOf(c) });
      return answerJson(c, 201, toSnapshotResponse(snapshot));
    },
    config,
  );
  bind(
    app,
    listRoute,
    async (c, { query: { limit = PAGE_SIZE, after, snapshotName, sandboxId } }) => {
      const wanted = {
        limit,
        ...(after === undefined ? {} : { after }),
        ...(snapshotName === undefined ? {} : { snapshotName }),
        ...(sandboxId === undefined ? {} : { sandboxId }),
      };
      const { items, next } = await snapshotsOf(backend).list(wanted, callOf(c));
      const page: RootfsSnapshotList = { rootfsSnapshots: items.map(toSnapshotResponse) };
      return answerJson(c, 200, next === undefined ? page : { ...page, next });
    },
    config,
  );
  bind(
    app,
    getRoute,
    async (c, { params }) =>
      answerJson(c, 200, toSnapshotResponse(await snapshotsOf(backend).get(params.id, callOf(c)))),
    config,
  );
  bind(
    app,
    deleteRoute,
    async (c, { params }) => {
      await snapshotsOf(backend).remove(params.id, callOf(c));
      return answer(c, 204, null);
    },
    config,
  );
}

const createRouteConfig = createRoute({
  method: "post",
  path: "/v1/rootfs-snapshots",
  operationId: "createRootfsSnapshot",
  summary: "Take a snapshot of a container",
  description:
    "Keeps the changes of one container over its image. Answers when it is complete or has failed, or with its " +
    "state after a bounded wait. A sandbox that is not there or not running is a 201 and then status Failed with " +
    "the reason. Snapshots of the same name are taken one after the other, and the last one asked for is what " +
    "the name means.",
  tags: ["Snapshots"],
  request: {
    headers: z.object({ "Idempotency-Key": IdempotencyKey.optional() }),
    body: { required: true, content: json(CreateRootfsSnapshotRequest) },
  },
  responses: {
    201: { description: "The record of the snapshot", content: json(RootfsSnapshotResponse) },
    ...problems(400, 409, 413, 415, 429),
  },
});

const listRoute = createRoute({
  method: "get",
  path: "/v1/rootfs-snapshots",
  operationId: "listRootfsSnapshots",
  summary: "List records of snapshots",
  tags: ["Snapshots"],
  request: { query: ListQuery },
  responses: {
    200: { description: "One page, in the order of creation", content: json(RootfsSnapshotList) },
    ...problems(),
  },
});

const getRoute = createRoute({
  method: "get",
  path: "/v1/rootfs-snapshots/{id}",
  operationId: "getRootfsSnapshot",
  summary: "Get the record of a snapshot",
  tags: ["Snapshots"],
  request: { params: Params },
  responses: { 200: { description: "The record", content: json(RootfsSnapshotResponse) }, ...problems(404) },
});

const deleteRoute = createRoute({
  method: "delete",
  path: "/v1/rootfs-snapshots/{id}",
  operationId: "deleteRootfsSnapshot",
  summary: "Delete a snapshot",
  description:
    "Removes the record, and what it wrote unless a later snapshot of the same name has replaced it. One that is " +
    "being taken is given up. Idempotent: deleting what is not there is no fault.",
  tags: ["Snapshots"],
  request: { params: Params },
  responses: {
    204: { description: "The removal is under way, or there was nothing to remove" },
    ...problems(409, 503),
  },
});
