"""The layout: who may import whom, how long files and functions may be, and that everything is documented."""
import ast
import os
import re
import subprocess
import sys

import pytest

from slimtune import cli, options

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = {'slimtune': 'slimtune', 'nets': 'slimtune.nets', 'datasets': 'slimtune.datasets',
            'preprocessing': 'slimtune.preprocessing'}

#: A package imports from its own row and from those below it, never from above.
ORDER = [
    ['cli'], ['commands'], ['exporting', 'evaluation', 'training'], ['features'], ['inference'],
    ['checkpoints', 'images', 'options'], ['datasets', 'nets', 'preprocessing'], ['storage'],
    ['runtime', 'terminal', 'machine', 'errors'],
]
ROW = {package: row for row, packages in enumerate(ORDER) for package in packages}
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_COMMAND = 400, 60, 120


def sources(*folders):
    """The paths of all Python files in these folders and their subfolders, relative to ROOT."""
    found = []
    for folder in folders:
        for place, _, names in os.walk(os.path.join(ROOT, folder)):
            inside = os.path.relpath(place, ROOT)
            found += [os.path.join(inside, name) for name in names if name.endswith('.py')]
    return sorted(found)


def text(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def name_of(path):
    """The module of a file: nets/vgg.py is slimtune.nets.vgg."""
    folder, name = os.path.split(path)
    first, _, inner = folder.partition(os.sep)
    return '.'.join(filter(None, [PACKAGES[first], inner.replace(os.sep, '.'), name[:-3]]))


MODULES = {name_of(path): path for path in sources(*PACKAGES)}


def imports(path):
    """The modules that a file imports, anywhere in it. `from slimtune import data` is slimtune.data."""
    found = set()
    for node in ast.walk(ast.parse(text(path))):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path} imports relatively'
            inner = [f'{node.module}.{name.name}' for name in node.names]
            found.update(name if {name, f'{name}.__init__'} & set(MODULES) else node.module for name in inner)
    return found


def row(module):
    """The row of a module: its package's, or its own in slimtune itself. The version lies below all."""
    package = module.split('.')[1] if '.' in module else '__init__'
    assert package == '__init__' or package in ROW, f'{module} has no place in ORDER'
    return ROW.get(package, len(ORDER))


@pytest.mark.parametrize('module', sorted(MODULES))
def test_a_module_imports_from_its_own_row_and_below(module):
    for imported in sorted(imports(MODULES[module])):
        if imported.split('.')[0] == 'slimtune':
            assert row(imported) >= row(module), f'{module} imports {imported}, which stands above it'
        if module.startswith('slimtune.commands.'):
            another = imported.startswith('slimtune.commands.') and imported != 'slimtune.commands.data_set'
            assert not another, f'{module} imports another command, {imported}'


def test_only_runtime_imports_tensorflow():
    heavy = re.compile(r'(tensorflow|tf_slim|tf_keras|keras)(\.|$)')
    for path in sources('benchmarks', 'scripts', 'tests', *PACKAGES):
        if path != os.path.join('slimtune', 'runtime.py'):
            assert not [name for name in imports(path) if heavy.match(name)], path


def test_only_terminal_and_cli_print():
    """What they print is escaped: the names of files and classes must not act on a terminal."""
    allowed = [os.path.join('slimtune', name) for name in ('cli.py', 'terminal.py', 'runtime.py')]
    for path in sorted(set(sources(*PACKAGES)).difference(allowed)):
        for node in ast.walk(ast.parse(text(path))):
            assert not (isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'print'), path
            assert not (isinstance(node, ast.Attribute) and node.attr in ('stdout', 'stderr')), path


def test_the_library_folders_are_imported_as_parts_of_slimtune():
    """`import nets` would be another module than slimtune.nets, and registrations would be lost in it."""
    for path in sources('benchmarks', 'scripts', 'tests', *PACKAGES):
        imported = {name.split('.')[0] for name in imports(path)}
        assert not imported & {'nets', 'datasets', 'preprocessing'}, path


@pytest.mark.parametrize('path', sources('benchmarks', 'scripts', 'tests', *PACKAGES))
def test_a_file_is_short_and_so_are_its_functions(path):
    assert len(text(path).splitlines()) <= LONGEST_FILE
    commands = [f'slimtune/commands/{name}.py' for name in cli.MODULES.values()]
    commands.append('slimtune/training/train.py')
    for node in ast.walk(ast.parse(text(path))):
        if isinstance(node, ast.FunctionDef):
            last = max(inner.lineno for inner in ast.walk(node) if hasattr(inner, 'lineno'))
            longest = LONGEST_COMMAND if path in commands else LONGEST_FUNCTION
            assert last - node.lineno < longest, f'{node.name} is {last - node.lineno + 1} lines long'


@pytest.mark.parametrize('path', sources(*PACKAGES))
def test_a_module_and_its_public_functions_say_what_they_are_for(path):
    tree = ast.parse(text(path))
    assert not tree.body or ast.get_docstring(tree) or os.path.basename(path) == '__init__.py'
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith('_'):
            assert ast.get_docstring(node), node.name


def test_no_path_of_a_machine_is_in_the_product():
    paths = sources('benchmarks', 'scripts', *PACKAGES) + ['Makefile', 'setup.py', 'pyproject.toml']
    for folder, ending in (('.', '.md'), ('docs', '.md'), ('scripts', '.sh'), ('requirements', '.txt')):
        names = [name for name in os.listdir(os.path.join(ROOT, folder)) if name.endswith(ending)]
        paths += [os.path.join(folder, name) for name in names]
    for path in paths:
        assert not re.search(r'/(work|root|home/\w+)/', text(path)), path


def test_every_command_has_its_module_and_its_lines_in_the_readme():
    readme = text('README.md')
    assert set(cli.MODULES) == set(options.COMMANDS)
    for command, module in cli.MODULES.items():
        assert 'slimtune.commands.' + module in MODULES, module
        assert re.search(fr'slimtune {command}\b', readme), f'README.md does not show slimtune {command}'


def test_the_documentation_has_every_option_as_it_is():
    tables = subprocess.run([sys.executable, os.path.join(ROOT, 'scripts', 'options_table.py')], check=True,
                            stdout=subprocess.PIPE).stdout.decode('utf-8')
    for command in options.COMMANDS:
        for name in options.command_options(command):
            assert f'| `{options.flag(name)}` |' in tables
    assert tables == text('docs/options.md'), 'python scripts/options_table.py > docs/options.md'


def test_an_option_that_commands_share_is_of_one_type():
    types = {}
    for command in options.COMMANDS:
        for name, field in options.command_options(command).items():
            kind = field.type, field.metadata['choices']
            assert types.setdefault(name, kind) == kind, name
            assert field.metadata['help'].endswith('.'), name


def test_no_two_groups_of_a_command_have_the_same_option():
    for name, command in options.COMMANDS.items():
        everything = [field for group in command.groups for field in group.__dataclass_fields__]
        assert len(everything) == len(set(everything)), name
