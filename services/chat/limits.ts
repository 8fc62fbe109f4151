/** Characters (code points) of a message. */
export const MAX_TEXT = 2_000;
/** Bytes of a frame, and of a body. */
export const MAX_FRAME = 16_384;
/** Messages of a room. */
export const MAX_MESSAGES = 10_000;
/** Sockets of a room. */
export const MAX_SOCKETS = 500;

/** How often something may be done: so many at once, then so many a second. */
export interface Rate {
  burst: number;
  perSecond: number;
}

/** Messages of one socket; of one subject over HTTP. */
export const SAYING: Rate = { burst: 20, perSecond: 5 };
/** Frames of one socket, whatever they say. */
export const FRAMES: Rate = { burst: 100, perSecond: 20 };
/** Frames in a row that can't be read before a socket is closed. */
export const MAX_UNREADABLE = 5;
/** Milliseconds between two `typing` of one socket that others are told of. */
export const TYPING_EVERY = 1_000;

/** After so many unconfirmed UTF-16 units a listener is asked how far it has read … */
export const ASK_AFTER = 128 * 1_024;
/** … after so many it is sent nothing more until it answers … */
export const MAX_UNREAD = 1_024 * 1_024;
/** … and when it has owed the answer for so long, in milliseconds, it is closed. */
export const MAX_SILENCE = 10_000;

/** Milliseconds from a message to its way into D1, together with what else was said meanwhile. */
export const WRITE_AFTER = 2_000;
/** Messages that one statement writes. */
export const BATCH = 100;
/** Messages that are read at a time. */
export const PAGE = 200;
/** Milliseconds without anybody after which a room is closed. */
export const IDLE = 30 * 60_000;
