import type { Alarm } from "./alarm.ts";

/** Tells of a stream's end once, however often it is said, and ends the stream's alarm with it. */
export function closeOnce(alarm: Alarm, onClose: (error?: Error) => void): (error?: Error) => void {
  let isOver = false;
  return (error) => {
    if (isOver) return;
    isOver = true;
    alarm.stop();
    onClose(error);
  };
}
