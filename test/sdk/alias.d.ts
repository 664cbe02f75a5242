/* The name under which programs for Isola import the client. */
declare module "@isola-run/sdk" {
  export * from "#sdk";
}
