/**
 * The last step of `Axios.request`, which hands a request to its adapter. The steps before it merge defaults and call
 * interceptors: the gateway has none, and they cost 5 % of a message. axios exports this module without types and may
 * change it in any release: its version is pinned.
 */
declare module 'axios/unsafe/core/dispatchRequest.js' {
  import type { AxiosResponse, InternalAxiosRequestConfig } from 'axios';
  export default function dispatchRequest<Data>(config: InternalAxiosRequestConfig): Promise<AxiosResponse<Data>>;
}
