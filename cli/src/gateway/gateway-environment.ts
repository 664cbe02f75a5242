type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of the gateway: what the person set, with what the options of `up` decide. */
export function gatewayEnvironment(
  base: Environment,
  { home, host, port, insecure }: { home: string; host: string; port: number; insecure: boolean },
): Environment {
  return {
    ...base,
    ATOLL_BACKEND: "local",
    ATOLL_HOME: home,
    ATOLL_LISTEN: `${host.includes(":") ? `[${host}]` : host}:${port}`,
    ...(insecure ? { ATOLL_INSECURE: "true" } : {}),
  };
}
