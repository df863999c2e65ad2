// `ig config …`: names its commands and their flags.

import { type Command, Option } from 'commander';

export interface ConfigViewFlags {
  readonly config?: string;
  readonly output: string;
}

/** Adds the commands of `ig config`. */
export function declareConfig(config: Command): void {
  config
    .command('default')
    .description('print every setting with its default: the beginning of a configuration file')
    .addHelpText('after', '\nExample:\n  ig config default | sudo tee /etc/ig/config.yaml')
    .action(async () => {
      const { printDefaults } = await import('./config.js');
      printDefaults();
    });
  config
    .command('view')
    .description('print the settings in force, and where each is from')
    .addOption(new Option('-o, --output <mode>', 'yaml or json').default('yaml'))
    .addOption(new Option('--config <path>', 'configuration file to read instead of the usual ones'))
    .addHelpText(
      'after',
      `
A flag is stronger than its variable, a variable than ~/.ig/config.yaml, and that than /etc/ig/config.yaml.
The variable of operator.oci.verify-image is INSPEKTOR_GADGET_OPERATOR_OCI_VERIFY_IMAGE, and so on; lists in
variables are comma lists.

Examples:
  ig config view
  INSPEKTOR_GADGET_OPERATOR_OCI_VERIFY_IMAGE=false ig config view -o json`,
    )
    .action(async (flags: ConfigViewFlags) => {
      const { viewConfig } = await import('./config.js');
      await viewConfig(flags);
    });
}
