/**
 * A command's whole run in one answer. `POST /v1/commands` whose `Accept` names
 * FRAME_MEDIA_TYPE starts the command as ever and answers 200 with frames that follow it from
 * the first byte of both streams to its end. A repeat answers with the same from the start, or
 * 410 `output-gone` when the first bytes are no longer kept, 409 `outcome-unknown` when nobody
 * saw it end. Closing the connection leaves the command as it is.
 *
 *   STDOUT, STDERR  the next bytes of the stream
 *   IDLE            as in an output stream
 *   EXITED          the end, 20 bytes big-endian: the exit code (signed 32 bits, -1 when a signal
 *                   ended it), then the total length of standard output and of standard error
 *                   (unsigned 64 bits each). All bytes of both have been sent before. The only
 *                   sign that the run is complete; a body without it was cut.
 *   LOST            as in an output stream: how the run goes on is not known
 *
 * Kinds do not overlap with those of an output stream, so neither can be taken for the other.
 */
export const RUN_FRAME_KIND = { stdout: 5, stderr: 6, exited: 7 } as const;
export const RUN_EXITED_PAYLOAD_BYTES = 20;

/** The beginning of the answer waits so long for a command's end: the run of a short one leaves in one piece. */
export const RUN_HOLD_MS = 20;

/** With frames of a run, the gateway says here which command it started. */
export const COMMAND_ID_HEADER = "x-command-id";
