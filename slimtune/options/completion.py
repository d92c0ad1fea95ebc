"""Shell completion: a static script, made from the table of options, so that a Tab starts no Python.

bash runs the script itself; zsh runs the same one through its bashcompinit.
"""
from slimtune.errors import UsageError
from slimtune.nets.nets_factory import NETS
from slimtune.options.fields import flag
from slimtune.options.request import COMMANDS, command_options

SHELLS = ('bash', 'zsh')
_ZSH = '''(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -Uz bashcompinit && bashcompinit
'''
# bash takes --option=value apart into three words, zsh does not: `prefix` is what the reply has to repeat.
_SCRIPT = '''# Completion of slimtune. Add to ~/.{shell}rc:  eval "$(slimtune --completion {shell})"
_slimtune() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} option=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    local prefix= words=
    if [[ $option == = ]]; then option=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    if [[ $current == = ]]; then current=; fi
    if [[ $current == --*=* ]]; then option=${{current%%=*}} prefix=$option= current=${{current#*=}}; fi
    if [[ $COMP_CWORD -eq 1 ]]; then
        words="{commands} --completion --help --version"
    else
        case ${{option//_/-}} in
{values}
        *) case $command in
{options}
            esac
            if [[ $current != -* ]]; then words=; fi ;;
        esac
    fi
    COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$current"))
}}
complete -o default -F _slimtune slimtune
'''


def script(shell):
    """The completion script for a shell of SHELLS. Raises UsageError for another."""
    if shell not in SHELLS:
        raise UsageError(f'--completion {shell}: expected one of {", ".join(SHELLS)}')
    values, options = {'--completion': SHELLS, '--model-name': NETS}, []
    for command in COMMANDS:
        fields = command_options(command)
        choices = {flag(name): field.metadata['choices'] for name, field in fields.items()}
        values.update({name: words for name, words in choices.items() if words})
        options.append(f'            {command}) words="{" ".join(map(flag, fields))} --help" ;;')
    rows = [f'        {name}) words="{" ".join(words)}" ;;' for name, words in values.items()]
    text = _SCRIPT.format(shell=shell, commands=' '.join(COMMANDS), values='\n'.join(rows),
                          options='\n'.join(options))
    return (_ZSH if shell == 'zsh' else '') + text
