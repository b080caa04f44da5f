export const PROBLEMS = {
  wrongLogin: { code: 'wrong_login', status: 401, title: 'Wrong login or password' },
  insufficientBalance: { code: 'insufficient_balance', status: 402, title: 'Not enough points' },
  loginTaken: { code: 'login_taken', status: 409, title: 'This login is already registered' },
  foreignOrder: { code: 'order_of_another_user', status: 409, title: 'Another user has uploaded this order' },
  wrongNumber: { code: 'wrong_order_number', status: 422, title: 'The order number is wrong' },
};
