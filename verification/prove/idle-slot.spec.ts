import { describe, expect, it } from '@jest/globals';
import { idleSlots } from './idle-slot.js';
import { admissionOf } from './provider-policy.js';

const sliding = () => admissionOf({ policy: 'sliding-window', limit: 2, windowMs: 100 });
const bucket = () => admissionOf({ policy: 'token-bucket', capacity: 2, refillPerSecond: 10 });

describe('idleSlots', () => {
  it('finds the slot that nobody used', () => {
    expect(idleSlots(sliding, [0, 10, 101], { atMs: [130], graceMs: 15, answerMs: 5 })).toBe(1);
    expect(idleSlots(bucket, [0, 1, 120], { atMs: [230], graceMs: 15, answerMs: 5 })).toBe(1);
  });

  it('finds none while the provider is full', () => {
    expect(idleSlots(sliding, [0, 10, 101], { atMs: [108], graceMs: 3, answerMs: 5 })).toBe(0);
  });

  it('finds none that was used in the grace, or by what was on its way', () => {
    expect(idleSlots(sliding, [0, 10, 101, 125], { atMs: [130], graceMs: 15, answerMs: 5 })).toBe(0);
    expect(idleSlots(sliding, [0, 10, 101, 134], { atMs: [130], graceMs: 15, answerMs: 5 })).toBe(0);
  });

  it('finds none where another came back as each was used', () => {
    const sent = [0, 50, 110, 160, 211];
    expect(idleSlots(sliding, sent, { atMs: [212], graceMs: 20, answerMs: 5 })).toBe(0);
  });

  it('counts a slot once, however many were paid for meanwhile', () => {
    expect(idleSlots(sliding, [0], { atMs: [30, 40, 50], graceMs: 15, answerMs: 5 })).toBe(1);
  });
});
