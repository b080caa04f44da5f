import { z } from 'zod';
import { commonSettings, port } from '#service';

export const paidProviderSettings = z.object({ ...commonSettings, PORT: port(4002) });
