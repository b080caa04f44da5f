import { z } from 'zod';
import { controlSettings } from '#reference-provider';
import { commonSettings, port } from '#service';

export const paidProviderSettings = z.object({ ...commonSettings, ...controlSettings, PORT: port(4002) });
