/** One DNS label: a container name. Source: the REST contract; RFC 1123. */
export const LABEL_PATTERN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
/** One or more DNS labels joined by dots: a sandbox or snapshot name. Source: RFC 1123. */
export const SUBDOMAIN_PATTERN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** What would be right where the patterns do not match. */
export const LABEL_WORDS = 'Expected lower-case letters, digits and "-", with a letter or digit first and last';
export const SUBDOMAIN_WORDS =
  'Expected lower-case letters, digits, "-" and ".", with a letter or digit first, last and on both sides of each "."';
/** Lower-case UUID, as command ids are. */
export const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Most characters of a sandbox's name, so that every name derived from it stays a label. Source: the cluster contract. */
export const MAX_SANDBOX_NAME = 47;
/** Most characters of a snapshot's name and of its record's, so that every name derived from it stays a label. Source: the cluster contract. */
export const MAX_SNAPSHOT_NAME = 59;
