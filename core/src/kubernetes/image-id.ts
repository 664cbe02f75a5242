const DIGEST = /(?:^|@|:\/\/)(sha256:[0-9a-f]{64})$/;

/**
 * The digest in `imageID` of a container's status: of what was pulled, or, of an image that was
 * never pulled, of the image itself; undefined when it names none.
 */
export function imageDigestOf(imageId: string | undefined): string | undefined {
  return DIGEST.exec(imageId ?? "")?.[1];
}
