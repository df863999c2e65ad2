// What a program imports: import { Source, param, fail } from 'ig'

export { Source, type ReadOptions } from './source';
export { NewSource } from './new-source';
export { BooleanField, BytesField, ListField, NumberField } from './field';
export { type FieldOptions, NumberColumn, type NumberOptions, VariableColumn } from './column';
export { type Log, type LogLine, fail, log, onFinish, onTick, param } from './program';
