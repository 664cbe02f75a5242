/** A list with the node that the pod runs on whose token is used, as the API server says of it; empty for other credentials. */
export const OWN_NODE = `request.userInfo.?extra[?"authentication.kubernetes.io/node-name"].orValue([])`;
