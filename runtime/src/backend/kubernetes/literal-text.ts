/**
 * Kubernetes replaces `$(NAME)` in commands and environment values by a variable, and reads `$$` as
 * one `$`. What the API is given is meant as it stands: these two turn it into what Kubernetes
 * reads as that, and back. Text without such signs stays as it is.
 */
export function toTemplateText(literal: string): string {
  return literal.replaceAll(/\${2,}|\$(?=\()/g, (signs) => signs + signs);
}

/** References that somebody wrote into a template by hand stay what they are. */
export function toLiteralText(template: string): string {
  return template.replaceAll("$$", "$");
}
