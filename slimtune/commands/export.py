"""`slimtune export`: writes the files to ship, or slim's bare graph."""
from slimtune import options
from slimtune.commands.data_set import data_set
from slimtune.errors import UsageError, UserError
from slimtune.exporting import bare_graph, bundle
from slimtune.terminal import next_step

BARE_ONLY = ('batch_size', 'is_training', 'final_endpoint', 'write_text_graphdef', 'is_video_model',
             'num_frames')


def run(request):
    """The command."""
    exported, net_options, data_options = request[options.Export], request[options.Net], data_set(request)
    if exported.output_file:
        bare_graph.export_bare(exported, data_options, net_options)
        return
    if not exported.checkpoint_path:
        raise UserError('export what? Make the first word a train folder, or add --checkpoint-path; '
                        '--output-file for a graph without weights')
    bare = [name for name in BARE_ONLY if request.typed.get(name)]
    if bare:
        raise UsageError(f'{options.flag(bare[0])} acts with --output-file only')
    folder = bundle.export(exported, data_options, net_options, request.run, request.averages)
    next_step('predict', folder, 'IMAGE', '...')
