export { Atoll, Atoll as Isola } from "./atoll.ts";
export type { CallOptions, ClientOptions } from "./options.ts";
export { Sandboxes } from "./sandboxes.ts";
export type { CreateCall, CreateOptions, SandboxSummary } from "./sandboxes.ts";
export type { Container, ContainerSettings, SandboxSettings, SandboxSpec } from "./create-options.ts";
export { Sandbox } from "./sandbox.ts";
export { Snapshots, Snapshots as RootfsSnapshots } from "./snapshots.ts";
export type { SnapshotCall, SnapshotFilter, SnapshotOptions, SnapshotSettings } from "./snapshots.ts";
export { Snapshot, Snapshot as RootfsSnapshot } from "./snapshot.ts";
export { Commands } from "./commands.ts";
export type { CommandResult, RunOptions, SpawnOptions } from "./commands.ts";
export { Command } from "./command.ts";
export { Stdin } from "./stdin.ts";
export { OutputText } from "./output-text.ts";
export { Filesystem } from "./filesystem.ts";
export type { FileOptions } from "./filesystem.ts";
export type { Uploadable } from "./upload.ts";
export type {
  ContainerInfo,
  Network,
  ProblemFault,
  ProblemSlug,
  ResourceList,
  ResourceRequirements,
  SandboxStatus,
  SnapshotBase,
  SnapshotProgress,
  SnapshotStatus,
  SnapshotWarning,
  TerminationPolicyInfo,
} from "./wire.ts";
export {
  ApiError,
  ApiError as APIError,
  AtollError,
  AtollError as IsolaError,
  BadGatewayError,
  BadRequestError,
  ConflictError,
  ConnectionError,
  ConnectionError as APIConnectionError,
  ForbiddenError,
  GoneError,
  HeadersTooLargeError,
  InternalError,
  InvalidResponseError,
  MethodNotAllowedError,
  NotFoundError,
  OutcomeUnknownError,
  OutputTooLargeError,
  PayloadTooLargeError,
  SandboxFailedError,
  SnapshotFailedError,
  TimeoutError,
  TimeoutError as IsolaTimeoutError,
  TooManyRequestsError,
  UnauthorizedError,
  UnavailableError,
  UnsupportedMediaTypeError,
  ValidationError,
} from "./errors.ts";
