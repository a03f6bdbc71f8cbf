/** Shell completion, generated from the command tree, so that it cannot fall behind it. */
import { Argument, Command } from "commander";
import { print } from "./output.ts";

/** `culvert completion SHELL`: a completion script on stdout. */
export function completionCommand(): Command {
  return new Command("completion")
    .description("print a completion script for a shell")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .action((shell: string, _options: unknown, command: Command) => {
      print(completionScript(command.parent ?? command, shell));
    });
}

/** The completion script of `program` for "bash", "zsh" or "fish". */
export function completionScript(program: Command, shell: string): string {
  switch (shell) {
    case "bash":
      return bashScript(program);
    case "zsh":
      return zshScript(program);
    default:
      return fishScript(program);
  }
}

/** What can follow a word: the verb's options, then the values its argument or option takes. */
function words(command: Command): string[] {
  const flags = command.options.flatMap((option) => [option.short, option.long].filter((flag) => flag !== undefined));
  const choices = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  return [...flags, ...choices];
}

function bashScript(program: Command): string {
  const name = program.name();
  const top = [...program.commands.map((command) => command.name()), ...words(program)];
  const verbs = program.commands.map((command) => `    ${command.name()}) words="${words(command).join(" ")}" ;;`);
  const values = program.options.filter((option) => option.argChoices).map((option) =>
    `    ${option.long}) words="${option.argChoices?.join(" ")}" ;;`
  );
  return `# bash completion for ${name}; use: source <(${name} completion bash)
_${name}() {
  local words="${top.join(" ")}" current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  case "\${COMP_WORDS[1]}" in
${verbs.join("\n")}
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${top.join(" ")}"
  case "$previous" in
${values.join("\n")}
    --keylog) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _${name} ${name}
`;
}

function zshScript(program: Command): string {
  const name = program.name();
  const verbs = program.commands.map((command) => `    '${command.name()}:${command.description()}'`);
  const options = program.options.map((option) => {
    const choices = option.argChoices
      ? `:value:(${option.argChoices.join(" ")})`
      : option.required
      ? ":file:_files"
      : "";
    return `    '${option.long}[${option.description}]${choices}'`;
  });
  const cases = program.commands.map((command) => `    ${command.name()}) compadd -- ${words(command).join(" ")} ;;`);
  return `#compdef ${name}
_${name}() {
  local -a verbs=(
${verbs.join("\n")}
  )
  local -a options=(
${options.join("\n")}
  )
  if (( CURRENT == 2 )) && [[ "$words[2]" != -* ]]; then
    _describe verb verbs
    return
  fi
  case "$words[2]" in
${cases.join("\n")}
    *) _arguments "$options[@]" ;;
  esac
}
compdef _${name} ${name}
`;
}

function fishScript(program: Command): string {
  const name = program.name();
  const lines = program.commands.flatMap((command) => [
    `complete -c ${name} -f -n __fish_use_subcommand -a ${command.name()} -d '${command.description()}'`,
    ...command.registeredArguments.filter((argument) => argument.argChoices).map((argument) =>
      `complete -c ${name} -f -n '__fish_seen_subcommand_from ${command.name()}' -a '${argument.argChoices?.join(" ")}'`
    ),
  ]);
  for (const option of program.options) {
    const short = option.short ? ` -s ${option.short.slice(1)}` : "";
    const values = option.argChoices ? ` -x -a '${option.argChoices.join(" ")}'` : option.required ? " -r" : "";
    const long = option.long?.slice(2);
    lines.push(`complete -c ${name} -n __fish_use_subcommand${short} -l ${long}${values} -d '${option.description}'`);
  }
  return `# fish completion for ${name}; use: ${name} completion fish | source\n${lines.join("\n")}\n`;
}
